"""`artstore jwt-key`: which key signs, which one is next."""

import json

from tests.cluster import Cluster


def test_a_key_is_rotated_listed_and_told(cluster: Cluster) -> None:
    before = json.loads(cluster.command("jwt-key", "status", "--json").stdout)

    rotated = json.loads(cluster.command("jwt-key", "rotate", "--json").stdout)
    listed = json.loads(cluster.command("jwt-key", "list", "--json").stdout)
    for_people = cluster.command("jwt-key", "status").stdout

    old = before["signing"]["kid"]
    assert before["source"] == "generated"
    assert [(key["kid"], key["state"]) for key in listed["items"]] == [
        (rotated["kid"], "waiting"),
        (old, "signing"),
    ]
    assert f"signing           {old} since" in for_people
    assert f"waiting           {rotated['kid']}" in for_people
    withdrawn = json.loads(cluster.command("jwt-key", "withdraw", rotated["kid"], "--yes", "--json").stdout)
    assert (withdrawn["kid"], withdrawn["state"]) == (rotated["kid"], "withdrawn")
    assert "waiting           none" in cluster.command("jwt-key", "status").stdout


def test_the_name_of_a_key_may_begin_with_a_dash(cluster: Cluster) -> None:
    for kid in ("-y" + "a" * 41, "--" + "b" * 41):
        completed = cluster.command("jwt-key", "withdraw", kid, "--yes", check=False)

        assert completed.returncode != 0
        assert f"there is no signing key {kid}" in completed.stderr

"""What ``ARTSTORE.md`` in every root tells the person who finds it in thirty years."""

from typing import Final

GUIDE: Final = """\
# What this directory is

An archive kept by ArtStore. It can be read without ArtStore, with `ls`, `cat` and `sha256sum` alone.

* `element.json` says which storage element this is, and in which mode. `lease.json` says which process
  may change the archive, if one runs: copy or move it only after that has stopped. `clock.json` says
  when it last knew what time it was. `fixity-sample`, if there is one, is wrong on purpose, so that
  checks prove themselves; it may be deleted.
* `YYYY/MM/DD/HH/` hold the files that were stored in that hour (UTC).
* Beside each file, `<name>.attr.json` says everything that is known of it: its original name, size,
  type, SHA-256 (`checksum`), who stored it and when, description, tags and custom attributes.
  A sidecar with `"status":"deleted"` is what is left of a deleted file.
* `.artstore/` may be deleted while nothing runs: it is rebuilt from the rest. Only if it has files in
  `log/`, after a crash, start ArtStore once before: they hold what was stored in the last seconds.

A file's name is `<original name>_<user>_<time>_<id>.<extension>`, made safe and cut where it was long.
Never change a file or its sidecar by hand: they would no longer be what was stored.

## Find a file

    grep -rl --include='*.attr.json' 'annual report' .

## Prove that every file is what was stored

    find . -name '*.attr.json' -exec grep -L '"status":"deleted"' {} + | while IFS= read -r sidecar; do
      checksum=$(grep -o '"checksum":"[0-9a-f]*"' "$sidecar" | head -n 1 | cut -d '"' -f 4)
      printf '%s  %s\\n' "$checksum" "${sidecar%.attr.json}"
    done | sha256sum --check --quiet

Nothing is printed when every file is whole.

## Get every file back under its own name

    find . -name '*.attr.json' -exec grep -L '"status":"deleted"' {} + | while IFS= read -r sidecar; do
      id=$(sed 's/.*"file_id":"\\([0-9a-f-]*\\)".*/\\1/' "$sidecar")
      name=$(
        sed 's/.*"original_filename":"\\(\\([^"\\\\]\\|\\\\.\\)*\\)".*/\\1/; s/\\\\\\(.\\)/\\1/g' "$sidecar"
      )
      mkdir -p "../restored/$id"
      cp -p "${sidecar%.attr.json}" "../restored/$id/$name"
    done

Each is in a folder named after its id, since names may be equal.
"""

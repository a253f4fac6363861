"""Opens a bucket: connects, sees what the service honours, and clears what crashes have left."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from artstore.core.spec import PluginContext
from artstore.plugins.storage_s3.backend import S3Storage
from artstore.plugins.storage_s3.bucket import Bucket
from artstore.plugins.storage_s3.config import S3Config
from artstore.plugins.storage_s3.connecting import new_session, open_client
from artstore.plugins.storage_s3.keys import Keys
from artstore.plugins.storage_s3.leftovers import Collector
from artstore.plugins.storage_s3.names import Names
from artstore.plugins.storage_s3.parts import Check
from artstore.plugins.storage_s3.probing import Probe
from artstore.plugins.storage_s3.refusals import Refusals
from artstore.plugins.storage_s3.uploading import Uploads


@asynccontextmanager
async def open_storage(config: S3Config, context: PluginContext) -> AsyncGenerator[S3Storage, None]:
    """The objects of a bucket, and a collector that works beside.

    Raises:
        ConfigurationError: the service cannot be used as configured.
    """
    session = await asyncio.to_thread(new_session, config)
    async with open_client(session, config) as client:
        bucket, names = Bucket(client, config, context), Names(config.prefix)
        probe = Probe(bucket, names, Refusals(config), context.logger)
        context.follow_secrets(Keys(session, config, probe).take)
        await probe.require_bucket()
        check: Check = await probe.find_check() if config.probe else "sha256"
        uploads = Uploads(
            bucket,
            part_size=config.part_size,
            parallel_parts=config.parallel_parts,
            check=check,
            context=context,
        )
        collector = Collector(
            bucket, names, age=config.leftover_age, in_progress=uploads.in_progress, context=context
        )
        await collector.collect()
        collecting = asyncio.create_task(collector.run())
        try:
            yield S3Storage(bucket, names, uploads, part_size=config.part_size)
        finally:
            collecting.cancel()
            await asyncio.gather(collecting, return_exceptions=True)

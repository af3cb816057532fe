"""`python -m services.transcriber`: takes jobs, runs the engine in a child process, stores results."""

from common import entry, health
from common.jobs.watch import CHANNEL, Watch
from common.service import resources
from services.transcriber.archives import Archives
from services.transcriber.attempt import Attempts
from services.transcriber.child import Engine
from services.transcriber.presence import presence
from services.transcriber.scratch import scratch
from services.transcriber.settings import Settings
from services.transcriber.worker import Worker


async def serve(settings: Settings, engine: Engine) -> None:
    """Run until told to stop."""
    watch = Watch()
    async with resources("transcriber", settings, checks={"engine": engine.check}, notified={CHANNEL: watch.notify}) as shared:
        with scratch() as folder:
            attempts = Attempts(
                pool=shared.pool,
                storage=shared.storage,
                broker=shared.broker,
                engine=engine,
                watch=watch,
                scratch=folder,
                settings=settings,
            )
            worker = Worker(pool=shared.pool, broker=shared.broker, engine=engine, attempts=attempts, settings=settings)
            shared.life.side("engine", engine.run())
            shared.life.side("presence", presence(shared.pool, engine, settings))
            shared.life.side("health", health.serve(shared.health, host=settings.health_host, port=settings.health_port))
            archives = Archives(shared.pool, shared.storage, shared.broker, folder, memory=settings.decode_memory_limit_mb * 2**20)
            shared.life.work("archives", archives.run(shared.life.stopping))
            for slot in range(settings.max_concurrent_jobs):
                shared.life.work(f"slot-{slot}", worker.run(slot, shared.life.stopping))
            await shared.life.run()


def main() -> None:
    settings = entry.settings("transcriber", Settings)
    entry.run("transcriber", serve(settings, Engine(limits=settings.limits)))


if __name__ == "__main__":
    main()

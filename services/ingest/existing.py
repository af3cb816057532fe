"""A job that a request names, or the 404 that says there is none; another tenant's is none."""

from uuid import UUID

from common.database import Pool
from common.ids import JobId
from common.jobs import store
from common.jobs.job import Job
from services.ingest.problems import Problem


async def find_job(pool: Pool, job_id: UUID, tenant: str) -> Job:
    """Raises `Problem`."""
    async with pool.acquire() as connection:
        return there(job_id, await store.get(connection, JobId(job_id), tenant))


def there(job_id: UUID, job: Job | None) -> Job:
    """The job that was found. Raises `Problem`."""
    if job is None:
        raise Problem(404, "job_not_found", f"There is no job {job_id}.")
    return job

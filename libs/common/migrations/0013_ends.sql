-- Ends of which somebody should have been told are looked for by when they were.

create index jobs_ended on jobs (finished_at) where status in ('completed', 'failed', 'cancelled');

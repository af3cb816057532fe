-- The lines that a job's recording is expected to follow. Not a column of `jobs`, whose rows are read all the time.

create table job_references (
    job_id uuid primary key references jobs on delete cascade,
    lines  jsonb not null                         -- [{number, text}]
);

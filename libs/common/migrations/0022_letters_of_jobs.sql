-- What was in dead letters about a job goes with it.

create index dead_letters_of_job on dead_letters (job_id) where job_id is not null;

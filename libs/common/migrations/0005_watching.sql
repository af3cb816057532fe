-- What watchers need beyond a job's status: a number for every change that they can see, and to be woken by changes within a status.

alter table jobs add column revision bigint not null default 0;

create function job_revise() returns trigger language plpgsql as $$
begin
    new.revision := old.revision + 1;
    return new;
end $$;

create trigger job_revised before update of status, stage, progress, attempt, error on jobs
    for each row
    when ((old.status, old.stage, old.progress, old.attempt, old.error)
          is distinct from (new.status, new.stage, new.progress, new.attempt, new.error))
    execute function job_revise();

create function job_progress_notify() returns trigger language plpgsql as $$
begin
    perform pg_notify('job_progress', new.id::text);
    return null;
end $$;

-- A channel of its own: a worker listens to 'job' to learn what others did to its jobs, and its own heartbeat must not wake it.
create trigger job_progressed after update of stage, progress on jobs
    for each row
    when (old.status = new.status and (old.stage, old.progress) is distinct from (new.stage, new.progress))
    execute function job_progress_notify();

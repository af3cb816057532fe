-- name: forget_usage
delete from storage_usage;

-- name: add_usage
insert into storage_usage (kind, age, objects, bytes) select * from unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[]);

-- name: set_space
insert into storage_state (measured_at, objects, bytes, capacity, level) values ($1, $2, $3, $4, $5)
on conflict (single) do update
set measured_at = excluded.measured_at, objects = excluded.objects, bytes = excluded.bytes, capacity = excluded.capacity,
    level = excluded.level;

-- name: read_space
select measured_at, objects, bytes, capacity, level from storage_state;

-- name: read_usage
select kind, age, objects, bytes from storage_usage order by kind, age;

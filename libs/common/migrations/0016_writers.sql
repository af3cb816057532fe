-- An event's notification names the process that wrote it, which publishes it: woken by every event, the relays of all services would
-- spend more on looking than on publishing.

create or replace function outbox_notify() returns trigger language plpgsql as $$
begin
    perform pg_notify('outbox', coalesce(current_setting('verbatim.process', true), ''));
    return null;
end $$;

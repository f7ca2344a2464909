-- Whether an instance's system had been built before the instance asked for it.
alter table berth.instances add column system_cached boolean;

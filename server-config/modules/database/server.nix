# The server and its tuning.
{ config, lib, ... }:
let
  cfg = config.berth.database;
  mib = n: "${toString n}MB";
in
{
  config = lib.mkIf config.berth.features.database {
    services.postgresql = {
      enable = true;
      enableTCPIP = true; # the addresses of the containers' links come and go; pg_hba and nftables say who gets in
      settings = {
        password_encryption = "scram-sha-256";
        max_connections = cfg.connectionsMax;
        shared_buffers = mib (cfg.memoryMiB / 4);
        effective_cache_size = mib (cfg.memoryMiB * 3 / 4);
        # Half of the memory if a tenth of the connections sort at once.
        work_mem = mib (lib.max 1 (cfg.memoryMiB * 5 / cfg.connectionsMax));
        maintenance_work_mem = mib (lib.max 16 (cfg.memoryMiB / 16));
        wal_compression = "on";
        random_page_cost = 1.1; # every disk that we install on is an SSD

        # Bounds on a tenant that its own SET can't lift (temp_file_limit) or that end what is forgotten.
        temp_file_limit = cfg.tempFileLimit;
        idle_in_transaction_session_timeout = "10min";
        tcp_keepalives_idle = 60;
        tcp_keepalives_interval = 10;
        tcp_keepalives_count = 6; # a container that is gone frees its connections within two minutes
        log_connections = "off";
        log_min_duration_statement = "5s";
        log_lock_waits = "on";
        log_parameter_max_length = 0; # no value of a tenant's query in the journal
      }
      // lib.optionalAttrs (lib.versionAtLeast config.services.postgresql.package.version "16") {
        # From 16 on a role that makes another is not its member by itself; the operator must be, to own its database.
        createrole_self_grant = "set, inherit";
      };
    };
    systemd.services.postgresql.serviceConfig = {
      # Before previews and builds when memory is short: with it go all of them.
      OOMScoreAdjust = lib.mkDefault (-500);
    };
  };
}

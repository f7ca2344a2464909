# Loki on this host: logs in files, kept for a bounded time. The collector feeds it.
{ config, lib, ... }:
let
  cfg = config.berth.observability;
  inherit (config.berth) features;
  folder = config.services.loki.dataDir;
in
{
  config = lib.mkIf (features.observability && features.loki) {
    services.loki = {
      enable = true;
      configuration = {
        auth_enabled = false;
        analytics.reporting_enabled = false;
        server = {
          http_listen_address = "127.0.0.1";
          http_listen_port = cfg.loki.port;
          grpc_listen_address = "127.0.0.1";
        };
        common = {
          path_prefix = folder;
          replication_factor = 1;
          ring = {
            kvstore.store = "inmemory";
            instance_addr = "127.0.0.1";
          };
        };
        schema_config.configs = [
          {
            from = "2026-01-01";
            store = "tsdb";
            object_store = "filesystem";
            schema = "v13";
            index = {
              prefix = "index_";
              period = "24h";
            };
          }
        ];
        storage_config.filesystem.directory = "${folder}/chunks";
        compactor = {
          working_directory = "${folder}/compactor";
          retention_enabled = true;
          delete_request_store = "filesystem";
        };
        limits_config = {
          retention_period = "${toString (cfg.loki.keepDays * 24)}h";
          # Preview apps write the lines: one that floods loses its own.
          per_stream_rate_limit = "3MB";
          ingestion_rate_mb = 8;
        };
      };
    };
  };
}

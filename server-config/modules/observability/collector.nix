# The OpenTelemetry collector: metrics of the host and the operator, logs of all units and of the containers, to OTLP, to
# Loki on this host, or to both. Without either there is nothing to send to, and no collector.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.berth.observability;
  inherit (config.berth) features previewOperator;
  toOtlp = cfg.otlp.endpoint != null;
  toLoki = features.loki;
  hasKey = cfg.otlp.authorizationFile != null;

  hostPort = import ../../host-port.nix;
  scrape = name: target: {
    job_name = name;
    scrape_interval = "30s";
    static_configs = [ { targets = [ target ]; } ];
  };
  queue.sending_queue.storage = "file_storage";
in
{
  config = lib.mkIf (features.observability && (toOtlp || toLoki)) {
    services.opentelemetry-collector = {
      enable = true;
      package = pkgs.opentelemetry-collector-contrib;
      settings = {
        extensions.file_storage = {
          directory = "/var/lib/opentelemetry-collector";
          create_directory = true;
        };
        receivers = {
          # The host's own. What runs in a container is logged in it, and no program of the host reads a container's files.
          journald = {
            directory = "/var/log/journal";
            storage = "file_storage";
            retry_on_failure.enabled = true;
          };
        }
        // lib.optionalAttrs toOtlp {
          prometheus.config.scrape_configs = [
            (scrape "node" "127.0.0.1:${toString cfg.nodeExporterPort}")
          ]
          ++ lib.optionals features.previewOperator [
            (scrape "berth" (hostPort previewOperator.listen previewOperator.metricsPort))
            (scrape "berth-web" (hostPort previewOperator.listen previewOperator.port))
          ];
        };
        processors = {
          # First in each pipeline: a collector that is killed for its memory loses more than one that refuses.
          memory_limiter = {
            check_interval = "1s";
            limit_mib = 384;
            spike_limit_mib = 96;
          };
          resourcedetection = {
            detectors = [ "system" ];
            system.hostname_sources = [ "os" ];
          };
          batch = { };
        };
        exporters =
          lib.optionalAttrs toOtlp {
            "otlphttp/outside" = queue // {
              inherit (cfg.otlp) endpoint;
              headers = lib.optionalAttrs hasKey {
                Authorization = "\${file:/run/credentials/opentelemetry-collector.service/authorization}";
              };
            };
          }
          // lib.optionalAttrs toLoki {
            "otlphttp/loki" = queue // {
              endpoint = "http://127.0.0.1:${toString cfg.loki.port}/otlp";
            };
          };
        service = {
          extensions = [ "file_storage" ];
          telemetry.metrics.level = "none";
          pipelines = {
            logs = {
              receivers = [ "journald" ];
              processors = [
                "memory_limiter"
                "resourcedetection"
                "batch"
              ];
              exporters = lib.optional toOtlp "otlphttp/outside" ++ lib.optional toLoki "otlphttp/loki";
            };
          }
          // lib.optionalAttrs toOtlp {
            metrics = {
              receivers = [ "prometheus" ];
              processors = [
                "memory_limiter"
                "resourcedetection"
                "batch"
              ];
              exporters = [ "otlphttp/outside" ];
            };
          };
        };
      };
    };

    systemd.services.opentelemetry-collector = {
      # The journald receiver runs journalctl.
      path = [ config.systemd.package ];
      serviceConfig = {
        MemoryMax = "512M";
        LoadCredential = lib.optional hasKey "authorization:${toString cfg.otlp.authorizationFile}";
        CapabilityBoundingSet = "";
        ProtectSystem = lib.mkForce "strict";
        ProtectHome = true;
        PrivateDevices = true;
        ProtectKernelTunables = true;
        ProtectKernelModules = true;
        ProtectControlGroups = true;
        RestrictNamespaces = true;
        LockPersonality = true;
        SystemCallArchitectures = "native";
        SystemCallFilter = [
          "@system-service"
          "~@privileged"
        ];
        RestrictAddressFamilies = [
          "AF_UNIX"
          "AF_INET"
          "AF_INET6"
          "AF_NETLINK"
        ];
        UMask = "0077";
      };
    };
  };
}

{ lib, pkgs, ... }:
let
  host.berth.features.observability = true;
  full = {
    imports = [ host ];
    berth.features = {
      prometheus = true;
      grafana = true;
      loki = true;
      backup = true;
    };
    berth.backup = {
      repository = "/mnt/backup";
      passwordFile = "/var/secrets/restic-password";
      staleAfterHours = 30;
    };
    berth.observability.grafana = {
      adminPasswordFile = "/var/secrets/grafana-admin";
      secretKeyFile = "/var/secrets/grafana-key";
    };
  };
  collectorOf = config: config.services.opentelemetry-collector.settings;
in
{
  "alone it is a node exporter on loopback and a bounded journal" = {
    modules = [ host ];
    shows = config: {
      exporter = {
        actual = config.systemd.units."prometheus-node-exporter.service".text;
        contains = [
          "--web.listen-address 127.0.0.1:9100"
          "--collector.textfile.directory=/var/lib/berth-metrics"
        ];
      };
      journal = {
        actual = config.services.journald.extraConfig;
        contains = [
          "SystemMaxUse=4G"
          "MaxRetentionSec=30day"
        ];
      };
      "nothing else" = {
        actual = map (name: config.services.${name}.enable) [
          "opentelemetry-collector"
          "prometheus"
          "grafana"
          "loki"
        ];
        equals = [
          false
          false
          false
          false
        ];
      };
      "no port is open" = {
        actual = config.networking.firewall.allowedTCPPorts;
        lacks = "9100";
      };
    };
  };
  "with an endpoint, metrics and logs go there, the key by credential" = {
    modules = [
      host
      {
        berth.observability.otlp = {
          endpoint = "https://otlp.example.com/in";
          authorizationFile = "/var/secrets/otlp";
        };
      }
    ];
    shows = config: {
      pipelines = {
        actual = lib.mapAttrs (_: pipeline: pipeline.exporters) (collectorOf config).service.pipelines;
        equals = {
          logs = [ "otlphttp/outside" ];
          metrics = [ "otlphttp/outside" ];
        };
      };
      exporter = {
        actual = (collectorOf config).exporters."otlphttp/outside";
        equals = {
          endpoint = "https://otlp.example.com/in";
          headers.Authorization = "\${file:/run/credentials/opentelemetry-collector.service/authorization}";
          sending_queue.storage = "file_storage";
        };
      };
      unit = {
        actual = config.systemd.units."opentelemetry-collector.service".text;
        contains = [
          "LoadCredential=authorization:/var/secrets/otlp"
          "SupplementaryGroups=systemd-journal"
          "DynamicUser=true"
        ];
      };
    };
  };
  "everything at once" = {
    modules = [ full ];
    shows = config: {
      "listens on loopback" = {
        actual = [
          config.services.prometheus.listenAddress
          config.services.grafana.settings.server.http_addr
          config.services.loki.configuration.server.http_listen_address
        ];
        equals = [
          "127.0.0.1"
          "127.0.0.1"
          "127.0.0.1"
        ];
      };
      "alerts" = {
        actual = lib.concatStrings config.services.prometheus.rules;
        contains = [
          "BackupStale"
          "> 108000"
          "RaidDegraded"
        ];
        lacks = "OperatorDown";
      };
      "logs to Loki" = {
        actual = (collectorOf config).service.pipelines.logs.exporters;
        equals = [ "otlphttp/loki" ];
      };
      "Grafana's secrets are credentials" = {
        actual = config.systemd.units."grafana.service".text;
        contains = [
          "LoadCredential=admin-password:/var/secrets/grafana-admin"
          "LoadCredential=secret-key:/var/secrets/grafana-key"
        ];
      };
      "Loki forgets" = {
        actual = config.services.loki.configuration.limits_config.retention_period;
        equals = "336h";
      };
    };
  };
  "Grafana without Prometheus" = {
    modules = [
      full
      { berth.features.prometheus = lib.mkForce false; }
    ];
    refused = "berth.features.grafana needs berth.features.prometheus";
  };
  "Grafana with its standard password" = {
    modules = [
      full
      { berth.observability.grafana.adminPasswordFile = lib.mkForce null; }
    ];
    refused = "Grafana would start with admin/admin";
  };
  "Prometheus without observability" = {
    modules = [ { berth.features.prometheus = true; } ];
    refused = "berth.features.prometheus needs berth.features.observability";
  };
  "one port for two" = {
    modules = [
      full
      { berth.observability.loki.port = 9090; }
    ];
    refused = "One port for two: Loki 9090, Prometheus 9090";
  };
  "a key over plain HTTP" = {
    modules = [
      host
      {
        berth.observability.otlp = {
          endpoint = "http://otlp.example.com";
          authorizationFile = "/var/secrets/otlp";
        };
      }
    ];
    refused = "would be sent unencrypted";
  };
  "an endpoint that is no URL" = {
    modules = [
      host
      { berth.observability.otlp.endpoint = "otlp.example.com"; }
    ];
    throws = "berth.observability.otlp.endpoint";
  };
  "a password in the store" = {
    modules = [
      full
      { berth.observability.grafana.adminPasswordFile = lib.mkForce "${pkgs.hello}/password"; }
    ];
    throws = "berth.observability.grafana.adminPasswordFile";
  };
}

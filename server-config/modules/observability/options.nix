{ lib, ... }:
let
  inherit (lib) mkOption types;
  fileOnHost = import ../../file-on-host.nix { inherit lib; };
  days =
    default: description:
    mkOption {
      type = types.ints.between 1 3650;
      inherit default description;
    };
  loopbackPort =
    default: description:
    mkOption {
      type = types.port;
      inherit default;
      description = "${description} On loopback: reach it through `ssh -L`.";
    };
in
{
  options.berth.observability = {
    textfileFolder = mkOption {
      type = types.str;
      readOnly = true;
      default = "/var/lib/berth-metrics";
      description = "Where units of this host write metrics of their own (`*.prom`), for the node exporter.";
    };
    nodeExporterPort = loopbackPort 9100 "Port of the node exporter.";

    journal = {
      maxUse = mkOption {
        type = types.strMatching "[1-9][0-9]*[MG]";
        default = "4G";
        description = "Disk space of the journal.";
      };
      keepDays = days 30 "Days for which log lines are kept.";
    };

    otlp = {
      endpoint = mkOption {
        type = types.nullOr (types.strMatching "https?://[A-Za-z0-9.:_-]+(/[A-Za-z0-9._/-]*)?");
        default = null;
        example = "https://otlp.example.com";
        description = "Where metrics and logs are sent, as OTLP over HTTP. None: they stay on the host.";
      };
      authorizationFile = fileOnHost "File with the value of the Authorization header, such as `Bearer …`.";
    };

    prometheus = {
      port = loopbackPort 9090 "Port of Prometheus.";
      keepDays = days 30 "Days for which metrics are kept.";
    };
    grafana = {
      port = loopbackPort 3300 "Port of Grafana.";
      adminPasswordFile = fileOnHost "File with the password of Grafana's user `admin`.";
      secretKeyFile = fileOnHost "File with the key that Grafana encrypts its own secrets with: 32 random characters.";
    };
    loki = {
      port = loopbackPort 3110 "Port of Loki.";
      keepDays = days 14 "Days for which Loki keeps logs.";
    };
  };
}

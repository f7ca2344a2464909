{ config, lib, ... }:
let
  cfg = config.berth.observability;
  inherit (config.berth) features;
  on = features.observability;
  needsIt = lib.filter (name: features.${name}) [
    "prometheus"
    "grafana"
    "loki"
  ];
  ports = {
    "the node exporter" = cfg.nodeExporterPort;
    "the web" = config.berth.previewOperator.port;
    "the operator" = config.berth.previewOperator.metricsPort;
  }
  // lib.optionalAttrs features.prometheus { Prometheus = cfg.prometheus.port; }
  // lib.optionalAttrs features.grafana { Grafana = cfg.grafana.port; }
  // lib.optionalAttrs features.loki { Loki = cfg.loki.port; };
  shared = lib.filterAttrs (name: port: lib.any (other: other != name && ports.${other} == port) (lib.attrNames ports)) ports;
in
{
  config.assertions = [
    {
      assertion = on || needsIt == [ ];
      message = "berth.features.${lib.concatStringsSep ", " needsIt} needs berth.features.observability, which collects what they show.";
    }
  ]
  ++ lib.optionals on [
    {
      assertion = features.grafana -> features.prometheus;
      message = "berth.features.grafana needs berth.features.prometheus: its dashboards would be empty.";
    }
    {
      assertion = features.grafana -> cfg.grafana.adminPasswordFile != null && cfg.grafana.secretKeyFile != null;
      message = "berth.observability.grafana needs adminPasswordFile and secretKeyFile: Grafana would start with admin/admin and a key that everyone knows.";
    }
    {
      assertion = shared == { };
      message = "One port for two: ${lib.concatStringsSep ", " (lib.mapAttrsToList (name: port: "${name} ${toString port}") shared)}. Give them different ports in berth.observability.";
    }
    {
      assertion = cfg.otlp.authorizationFile != null -> cfg.otlp.endpoint != null && lib.hasPrefix "https://" cfg.otlp.endpoint;
      message = "berth.observability.otlp.authorizationFile would be sent unencrypted, or nowhere: set otlp.endpoint to an https:// URL.";
    }
  ];
}

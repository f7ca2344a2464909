# Grafana on this host, with our dashboards and nobody else's accounts.
{ config, lib, ... }:
let
  cfg = config.berth.observability;
  inherit (config.berth) features;
  credential = name: "$__file{/run/credentials/grafana.service/${name}}";
in
{
  config = lib.mkIf (features.observability && features.grafana) {
    services.grafana = {
      enable = true;
      settings = {
        server = {
          http_addr = "127.0.0.1";
          http_port = cfg.grafana.port;
        };
        security = {
          admin_password = credential "admin-password";
          secret_key = credential "secret-key";
        };
        analytics = {
          reporting_enabled = false;
          check_for_updates = false;
          check_for_plugin_updates = false;
        };
        users.allow_sign_up = false;
      };
      provision = {
        enable = true;
        datasources.settings.datasources = [
          {
            name = "Prometheus";
            uid = "prometheus";
            type = "prometheus";
            url = "http://127.0.0.1:${toString cfg.prometheus.port}";
            isDefault = true;
          }
        ]
        ++ lib.optional features.loki {
          name = "Loki";
          uid = "loki";
          type = "loki";
          url = "http://127.0.0.1:${toString cfg.loki.port}";
        };
        dashboards.settings.providers = [
          {
            name = "Berth";
            options.path = ./dashboards;
          }
        ];
      };
    };
    systemd.services.grafana.serviceConfig.LoadCredential = [
      "admin-password:${toString cfg.grafana.adminPasswordFile}"
      "secret-key:${toString cfg.grafana.secretKeyFile}"
    ];
  };
}

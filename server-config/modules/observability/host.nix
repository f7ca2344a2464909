# The host's own numbers, and bounds on its log.
{ config, lib, ... }:
let
  cfg = config.berth.observability;
in
{
  config = lib.mkIf config.berth.features.observability {
    services.prometheus.exporters.node = {
      enable = true;
      listenAddress = "127.0.0.1";
      port = cfg.nodeExporterPort;
      # Units and their restarts beside the usual; textfile for what our own units write.
      enabledCollectors = [ "systemd" ];
      extraFlags = [ "--collector.textfile.directory=${cfg.textfileFolder}" ];
    };
    systemd.tmpfiles.settings.berth-metrics.${cfg.textfileFolder}.d = {
      mode = "0755";
      user = "root";
      group = "root";
    };

    services.journald = {
      storage = "persistent";
      rateLimitInterval = "30s";
      rateLimitBurst = 20000;
      extraConfig = ''
        SystemMaxUse=${cfg.journal.maxUse}
        MaxRetentionSec=${toString cfg.journal.keepDays}day
      '';
    };
  };
}

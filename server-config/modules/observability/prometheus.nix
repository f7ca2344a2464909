# Prometheus on this host, with the alerts that a person should see.
{ config, lib, ... }:
let
  cfg = config.berth.observability;
  inherit (config.berth) features previewOperator backup;
  job = name: target: {
    job_name = name;
    static_configs = [ { targets = [ target ]; } ];
  };
  hostPort = import ../../host-port.nix;
  alert = name: expr: for: summary: {
    alert = name;
    inherit expr for;
    annotations.summary = summary;
  };
  alerts = [
    (alert "HostOutOfDisk" ''node_filesystem_avail_bytes{fstype=~"ext4|xfs|btrfs"} / node_filesystem_size_bytes < 0.1'' "15m"
      "Less than a tenth of {{ $labels.mountpoint }} is free."
    )
    (alert "HostOutOfMemory" "node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes < 0.05" "10m"
      "Less than a twentieth of the memory is available."
    )
    (alert "UnitFailed" ''node_systemd_unit_state{state="failed"} == 1'' "5m" "{{ $labels.name }} has failed.")
    (alert "RaidDegraded" "node_md_disks_required - on(device) node_md_disks{state=\"active\"} > 0" "1m"
      "The mirror {{ $labels.device }} runs on one disk."
    )
  ]
  ++ lib.optionals features.previewOperator [
    (alert "OperatorDown" ''up{job="berth"} == 0'' "2m" "The operator does not answer.")
    (alert "WebDown" ''up{job="berth-web"} == 0'' "2m" "Nobody takes GitHub's webhooks.")
    (alert "JobsWaiting" ''berth_jobs{state="waiting"} > 0'' "30m" "For half an hour jobs have been waiting, now {{ $value }}.")
  ]
  ++ lib.optional features.backup (
    alert "BackupStale"
      "time() - (berth_backup_last_success_timestamp_seconds or vector(0)) > ${toString (backup.staleAfterHours * 3600)}"
      "30m"
      "The last backup that succeeded is older than ${toString backup.staleAfterHours} hours."
  );
in
{
  config = lib.mkIf (features.observability && features.prometheus) {
    services.prometheus = {
      enable = true;
      listenAddress = "127.0.0.1";
      inherit (cfg.prometheus) port;
      retentionTime = "${toString cfg.prometheus.keepDays}d";
      globalConfig.scrape_interval = "30s";
      scrapeConfigs = [
        (job "node" "127.0.0.1:${toString cfg.nodeExporterPort}")
      ]
      ++ lib.optionals features.previewOperator [
        (job "berth" (hostPort previewOperator.listen previewOperator.metricsPort))
        (job "berth-web" (hostPort previewOperator.listen previewOperator.port))
      ];
      rules = [
        (builtins.toJSON {
          groups = [
            {
              name = "berth";
              rules = alerts;
            }
          ];
        })
      ];
    };
  };
}

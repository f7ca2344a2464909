# One restic job for everything that can't be made anew: records, databases, secrets, host keys.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.berth.backup;
  ready = cfg.repository != null && cfg.passwordFile != null;
  dumps = config.services.postgresqlBackup;
  whereTheyAre = [
    "/var/lib/berth"
    "/var/secrets"
    "/etc/secrets"
  ];
  metrics = config.berth.observability.textfileFolder;
in
{
  config = lib.mkIf (config.berth.features.backup && ready) {
    services.restic.backups.berth = {
      inherit (cfg) repository passwordFile environmentFile;
      initialize = true;
      # `restic-berth` on PATH has the same settings: what `hostctl backup` uses.
      createWrapper = true;
      paths = [ "/etc/ssh" ] ++ lib.optional dumps.enable dumps.location ++ cfg.paths;
      # Not every host has each of them, and restic fails on a path that is not there.
      dynamicFilesFrom = ''
        #!${pkgs.runtimeShell}
        for folder in ${lib.escapeShellArgs whereTheyAre}; do
          if [ -e "$folder" ]; then echo "$folder"; fi
        done
      '';
      exclude = [
        # Made anew from GitHub and from the store.
        "/var/lib/berth/mirrors"
        "/var/lib/berth/closures"
      ];
      timerConfig = {
        OnCalendar = cfg.at;
        RandomizedDelaySec = "20min";
        Persistent = true;
      };
      pruneOpts = [
        "--keep-daily ${toString cfg.keep.daily}"
        "--keep-weekly ${toString cfg.keep.weekly}"
        "--keep-monthly ${toString cfg.keep.monthly}"
      ];
      runCheck = true;
      checkOpts = [ "--read-data-subset=1%" ];
    };

    systemd.services = {
      restic-backups-berth = {
        # Started with it, awaited by it: without a whole dump there is no backup.
        requires = lib.optional dumps.enable "postgresqlBackup.service";
        after = lib.optional dumps.enable "postgresqlBackup.service";
        onSuccess = [ "berth-backup-succeeded.service" ];
        serviceConfig = {
          Nice = 10;
          IOSchedulingClass = "idle";
        };
      };
      # Its own unit, for it may only run when the backup, its pruning and its check have all succeeded.
      berth-backup-succeeded = {
        description = "Write down when the last backup succeeded";
        path = [ pkgs.coreutils ];
        serviceConfig = import ../../unit-sandbox.nix // {
          Type = "oneshot";
          ReadWritePaths = [ metrics ];
          ExecStart = "${pkgs.bashNonInteractive}/bin/bash ${./write-success.sh} ${cfg.successMetric}";
        };
      };
    };
    systemd.tmpfiles.settings.berth-metrics.${metrics}.d = {
      mode = "0755";
      user = "root";
      group = "root";
    };
  };
}

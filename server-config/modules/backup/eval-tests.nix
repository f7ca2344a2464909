{ lib, ... }:
let
  host = {
    berth.features.backup = true;
    berth.backup = {
      repository = lib.mkDefault "sftp:u1@u1.example.org:berth-1";
      passwordFile = lib.mkDefault "/var/secrets/restic-password";
    };
  };
in
{
  "a backup takes state, secrets and keys, checks itself and says when it succeeded" = {
    modules = [ host ];
    shows = config: {
      "the unit" = {
        actual = config.systemd.units."restic-backups-berth.service".text;
        contains = [
          "RESTIC_REPOSITORY=sftp:u1@u1.example.org:berth-1"
          "forget --prune --keep-daily 7 --keep-weekly 5 --keep-monthly 6"
          "check --read-data-subset=1%"
          "OnSuccess=berth-backup-succeeded.service"
        ];
        lacks = "postgresqlBackup";
      };
      paths = {
        actual = config.services.restic.backups.berth.paths;
        equals = [ "/etc/ssh" ];
      };
      "paths where they are there" = {
        actual = config.services.restic.backups.berth.dynamicFilesFrom;
        contains = "/var/lib/berth /var/secrets /etc/secrets";
      };
      timer = {
        actual = config.systemd.units."restic-backups-berth.timer".text;
        contains = [
          "Persistent=true"
          "OnCalendar=*-*-* 03:20:00"
        ];
      };
      "time of the last success" = {
        actual = config.systemd.units."berth-backup-succeeded.service".text;
        contains = "/var/lib/berth-metrics/berth_backup.prom";
      };
      drill = {
        actual = config.systemd.units."berth-restore-drill.service".text;
        contains = [
          "RESTIC_PASSWORD_FILE=/var/secrets/restic-password"
          "restore-drill.sh /var/cache/berth-restore-drill\n"
        ];
      };
      "hostctl knows of it" = {
        actual = (builtins.fromJSON config.environment.etc."berth/hostctl.json".text).backup;
        equals = {
          unit = "restic-backups-berth.service";
          command = "restic-berth";
          successMetric = "/var/lib/berth-metrics/berth_backup.prom";
          staleAfterHours = 26;
        };
      };
    };
  };
  "with a database, the dump comes first and a failed dump fails the backup" = {
    modules = [
      host
      { berth.features.database = true; }
    ];
    shows = config: {
      "the unit" = {
        actual = config.systemd.units."restic-backups-berth.service".text;
        contains = "Requires=postgresqlBackup.service";
      };
      paths = {
        actual = config.services.restic.backups.berth.paths;
        contains = config.berth.database.dumpFolder;
      };
      drill = {
        actual = config.systemd.units."berth-restore-drill.service".text;
        contains = "berth-restore-drill ${config.berth.database.dumpFolder}";
      };
    };
  };
  "nowhere to back up to" = {
    modules = [ { berth.features.backup = true; } ];
    refused = "berth.backup.repository is not set";
  };
  "no password" = {
    modules = [
      host
      { berth.backup.passwordFile = null; }
    ];
    refused = "berth.backup.passwordFile is not set";
  };
  "a password in the repository's URL" = {
    modules = [
      host
      { berth.backup.repository = "rest:https:user:hunter2@backup.example.org/x"; }
    ];
    refused = "berth.backup.repository holds a password";
  };
  "a repository with an option smuggled in" = {
    modules = [
      host
      { berth.backup.repository = "--password-command=id"; }
    ];
    throws = "berth.backup.repository";
  };
}

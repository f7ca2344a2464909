{ lib, ... }:
let
  inherit (lib) mkOption types;
  fileOnHost = import ../../file-on-host.nix { inherit lib; };
in
{
  options.berth.backup = {
    repository = mkOption {
      type = types.nullOr (types.strMatching "(sftp|s3|rest|b2|azure|gs|swift|rclone):[!-~]+|/[!-~]+");
      default = null;
      example = "sftp:u123456@u123456.your-storagebox.de:berth-1";
      description = "restic's repository: another machine than this one, or a mounted disk. Holds no password: use `environmentFile`.";
    };
    passwordFile = fileOnHost "File with the repository's password. Keep a copy elsewhere: without it nothing can be restored.";
    environmentFile = fileOnHost "File with what the repository's storage asks for, such as AWS_ACCESS_KEY_ID=….";

    paths = mkOption {
      type = types.listOf types.externalPath;
      default = [ ];
      example = [ "/home" ];
      description = "Folders to back up besides the operator's state, the database dump, the secrets and the host's own keys.";
    };
    at = mkOption {
      type = types.str;
      default = "*-*-* 03:20:00";
      description = "When (systemd.time), spread over the following 20 minutes.";
    };
    staleAfterHours = mkOption {
      type = types.ints.between 1 8760;
      default = 26;
      description = "Age of the last success after which `hostctl status` and the alert call the backup stale.";
    };
    keep = {
      daily = mkOption {
        type = types.ints.between 1 365;
        default = 7;
        description = "Daily snapshots that are kept.";
      };
      weekly = mkOption {
        type = types.ints.between 0 520;
        default = 5;
        description = "Weekly snapshots that are kept.";
      };
      monthly = mkOption {
        type = types.ints.between 0 120;
        default = 6;
        description = "Monthly snapshots that are kept.";
      };
    };
    drillAt = mkOption {
      type = types.str;
      default = "monthly";
      description = "When the newest snapshot is restored for trial and its dump read to the end (systemd.time).";
    };
    successMetric = mkOption {
      type = types.str;
      readOnly = true;
      default = "/var/lib/berth-metrics/berth_backup.prom";
      description = "Where the time of the last success is written, for the node exporter and for `hostctl status`.";
    };
  };
}

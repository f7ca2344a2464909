# A backup that was never restored is a hope. The drill restores the newest snapshot beside the host and reads the dump to its end.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.berth.backup;
  ready = cfg.repository != null && cfg.passwordFile != null;
  job = config.systemd.services.restic-backups-berth;
  dumps = config.services.postgresqlBackup;
in
{
  config = lib.mkIf (config.berth.features.backup && ready) {
    systemd.services.berth-restore-drill = {
      description = "Restore the newest backup for trial";
      startAt = cfg.drillAt;
      wants = [ "network-online.target" ];
      after = [ "network-online.target" ];
      path = [
        config.services.restic.backups.berth.package
        config.programs.ssh.package
        pkgs.coreutils
        pkgs.findutils
        pkgs.gnugrep
        pkgs.zstd
      ];
      environment = lib.filterAttrs (name: value: value != null && lib.hasPrefix "RESTIC_" name) job.environment // {
        RESTIC_CACHE_DIR = "/var/cache/berth-restore-drill/restic";
      };
      serviceConfig = import ../../unit-sandbox.nix // {
        Type = "oneshot";
        ExecStart = lib.escapeShellArgs (
          [
            "${pkgs.bashNonInteractive}/bin/bash"
            "${./restore-drill.sh}"
            "/var/cache/berth-restore-drill"
          ]
          ++ lib.optional dumps.enable dumps.location
        );
        CacheDirectory = "berth-restore-drill";
        CacheDirectoryMode = "0700";
        # Files come back with their owners, whoever these are.
        CapabilityBoundingSet = "CAP_CHOWN CAP_FOWNER CAP_DAC_OVERRIDE";
        SystemCallFilter = [
          "@system-service @chown"
          "~@resources"
        ];
        SystemCallErrorNumber = "EPERM";
        RestrictSUIDSGID = false;
        # A repository by SFTP is reached with root's own SSH key.
        ProtectHome = "read-only";
        RestrictAddressFamilies = [
          "AF_UNIX"
          "AF_INET"
          "AF_INET6"
          # ssh asks the kernel for the host's addresses.
          "AF_NETLINK"
        ];
        Nice = 10;
        IOSchedulingClass = "idle";
      }
      // lib.optionalAttrs (cfg.environmentFile != null) { EnvironmentFile = cfg.environmentFile; };
    };
  };
}

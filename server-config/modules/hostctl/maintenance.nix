# The command, and the timer that runs what is due.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.berth.hostctl;
  package = config.berth.previewOperator.package;
in
{
  config = lib.mkIf config.berth.features.hostctl {
    # With it come `preview`, `agent` and `fleet`.
    environment.systemPackages = [ package ];

    # `hostctl pull` asks nobody.
    programs.ssh.knownHosts = import ../../known-hosts.nix;

    # hostctl collects garbage, and keeps a number of generations, which nix.gc can't.
    nix.gc.automatic = lib.mkOverride 900 false;

    systemd.services.berth-maintain = {
      description = "Look after this host: what is due and nothing else";
      startAt = cfg.maintainAt;
      # A rebuild that it was itself part of must not end it.
      restartIfChanged = false;
      path = [
        config.nix.package
        config.systemd.package
      ];
      environment.NIX_REMOTE = "daemon";
      serviceConfig = import ../../unit-sandbox.nix // {
        Type = "oneshot";
        ExecStart = "${package}/bin/hostctl maintain";
        LogsDirectory = "berth";
        LogsDirectoryMode = "0750";
        StateDirectory = "berth-hostctl";
        StateDirectoryMode = "0700";
        Nice = 10;
        IOSchedulingClass = "idle";
        # It takes the checkout back from the user it was lent to, and gives up generations; the daemon does the rest.
        CapabilityBoundingSet = "CAP_CHOWN CAP_FOWNER CAP_DAC_OVERRIDE";
        ReadWritePaths = [
          "-${cfg.checkout}"
          "/nix/var/nix"
        ];
        SystemCallFilter = [
          "@system-service @chown"
          "~@resources"
        ];
        # A refused call is an error to handle, not a killed process.
        SystemCallErrorNumber = "EPERM";
        # V8 compiles at run time.
        MemoryDenyWriteExecute = false;
        UMask = "0027";
      };
    };
    systemd.timers.berth-maintain.timerConfig = {
      Persistent = true;
      # Not all hosts of a fleet at the same minute.
      RandomizedDelaySec = "30min";
    };
    systemd.tmpfiles.settings.berth-hostctl."/var/log/berth".d = {
      mode = "0750";
      user = "root";
      group = "root";
    };
  };
}

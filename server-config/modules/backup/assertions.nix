{ config, lib, ... }:
let
  cfg = config.berth.backup;
in
{
  config.assertions = lib.mkIf config.berth.features.backup [
    {
      assertion = cfg.repository != null;
      message = "berth.features.backup is on, but berth.backup.repository is not set: there is nowhere to back up to. Name a restic repository, or switch the feature off.";
    }
    {
      assertion = cfg.passwordFile != null;
      message = "berth.backup.passwordFile is not set: restic encrypts every repository. Give the file with its password.";
    }
    {
      assertion = cfg.repository == null || builtins.match ".*:[^/@:]+:[^/@]+@.*" cfg.repository == null;
      message = "berth.backup.repository holds a password: every user of the host could read it in the Nix store. Put it into berth.backup.environmentFile.";
    }
  ];
}

{ config, lib, ... }:
let
  inherit (config.berth.hardening) baseline;
  sshd = config.services.openssh;
  nix = config.nix.settings;

  # CVE-2026-44028 (May 2026): whoever may talk to the daemon could become root. The first fixed version of each branch
  # (Nix, then Lix), which also have the fixes before it; older branches have none, newer ones began with it.
  fixedIn = {
    "2.28" = "2.28.7";
    "2.29" = "2.29.4";
    "2.30" = "2.30.5";
    "2.31" = "2.31.5";
    "2.32" = "2.32.8";
    "2.33" = "2.33.6";
    "2.34" = "2.34.7";
    "2.93" = "2.93.4";
    "2.94" = "2.94.2";
    "2.95" = "2.95.2";
  };
  ourNix = lib.getVersion config.nix.package;
  neededNix = fixedIn.${lib.versions.majorMinor ourNix} or "2.35";
in
{
  config.assertions = lib.mkIf config.berth.features.hardening [
    {
      assertion = config.berth.adminKeys != [ ];
      message = "berth.adminKeys is empty: with SSH by key only, nobody could log in. Put your public key there.";
    }
    {
      assertion = sshd.enable;
      message = "services.openssh.enable is false: a hardened host without SSH can't be reached. Set it to true.";
    }
    {
      assertion = baseline.sshKeysOnly -> sshd.settings.PasswordAuthentication == false;
      message = "services.openssh.settings.PasswordAuthentication is on, against the baseline. Remove it, or opt out with berth.hardening.baseline.sshKeysOnly = false.";
    }
    {
      assertion =
        baseline.sshKeysOnly
        -> lib.elem sshd.settings.PermitRootLogin [
          "prohibit-password"
          "forced-commands-only"
          "no"
        ];
      message = "services.openssh.settings.PermitRootLogin lets root in by password, against the baseline. Use \"prohibit-password\".";
    }
    {
      assertion = nix.sandbox == true;
      message = "nix.settings.sandbox is not true: builds of previews' code would run unconfined. Remove the setting.";
    }
    {
      assertion = lib.versionAtLeast ourNix neededNix;
      message = "nix.package is Nix ${ourNix}, older than ${neededNix}: who may build could become root. Remove the setting, or name a newer one.";
    }
    {
      assertion = lib.unique nix.trusted-users == [ "root" ];
      message = "nix.settings.trusted-users holds more than root: a trusted user is root by another name. Put builders into berth.hardening.nixUsers.";
    }
  ];
}

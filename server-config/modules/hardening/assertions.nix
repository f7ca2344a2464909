{ config, lib, ... }:
let
  inherit (config.berth.hardening) baseline;
  sshd = config.services.openssh;
  nix = config.nix.settings;
  # GHSA-g948-229j-48j3 and its companions of June 2025: a build could become root. Fixed in 2.28.4.
  oldestNix = "2.28.4";
  ourNix = lib.getVersion config.nix.package;
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
      assertion = lib.versionAtLeast ourNix oldestNix;
      message = "nix.package is Nix ${ourNix}, older than ${oldestNix}: a build of a preview's code could become root. Remove the setting, or name a newer one.";
    }
    {
      assertion = lib.unique nix.trusted-users == [ "root" ];
      message = "nix.settings.trusted-users holds more than root: a trusted user is root by another name. Put builders into berth.hardening.nixUsers.";
    }
  ];
}

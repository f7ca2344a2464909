# The security baseline, which `hostctl status` looks at: keys only, bans, a kernel that tells little.
{ lib, ... }:
{
  berth.features.hardening = lib.mkDefault true;
  berth.features.firewall = lib.mkDefault true;
  systemd.coredump.enable = lib.mkDefault false;
  services.journald.storage = lib.mkDefault "persistent";
  environment.defaultPackages = lib.mkDefault [ ];
}

# What every container of ours is, preview or agent: a NixOS that has a network, a resolver and bounded logs,
# and nothing that a container on a Berth host has no use for.
{
  lib,
  modulesPath,
  ...
}:
let
  # Facts of the host; the operator writes its own where berth.containerRange is not the default.
  site = lib.importJSON ./site.json;
in
{
  imports = [ "${modulesPath}/profiles/minimal.nix" ];

  boot.isContainer = true;

  networking = {
    # The container's init wrapper has given eth0 its address and its default route before systemd starts.
    useDHCP = false;
    useHostResolvConf = false;
    # The host holds containers in, with rules of its own (the table of the module firewall).
    firewall.enable = false;
  };

  services.resolved = {
    enable = true;
    settings.Resolve = {
      # The one resolver that a container may ask. It depends on the host's address range alone, so all guests of a host share it.
      DNS = [ site.resolver ];
      Domains = [ "~." ];
      LLMNR = "no";
      MulticastDNS = "no";
    };
  };

  services.journald = {
    rateLimitInterval = "30s";
    # A service that floods its log loses lines of its own, not the disk or the other services' lines.
    rateLimitBurst = 10000;
    extraConfig = ''
      SystemMaxUse=64M
      RuntimeMaxUse=16M
      SystemMaxFileSize=8M
      MaxRetentionSec=14day
      LineMax=16K
    '';
  };

  # A preview has no user of the Nix daemon, and its socket must be unusable from inside.
  nix.enable = false;
  environment.variables.NIX_REMOTE = lib.mkForce "";
  systemd.coredump.enable = false;
  security.polkit.enable = false;

  system.stateVersion = "26.05";
}

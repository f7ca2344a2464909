# Addresses, NAT and DNS of containers. What they may reach is the firewall module's matter.
{ config, lib, ... }:
let
  cfg = config.berth.previewContainers;
in
{
  config = lib.mkIf config.berth.features.previewContainers {
    boot.enableContainers = true;

    networking.nat = {
      enable = true;
      externalInterface = config.berth.uplink;
      internalIPs = [ config.berth.containerRange ];
    };
    # Containers have IPv4 only; no router of ours speaks v6 for them.
    boot.kernel.sysctl."net.ipv6.conf.default.accept_ra" = lib.mkDefault 0;

    # systemd's own 80-container-ve.network would give each link a second address, a DHCP server and NAT of its own.
    systemd.network.networks."10-berth-containers" = {
      matchConfig.Name = "ve-* vb-*";
      linkConfig.Unmanaged = true;
    };

    # One address for all containers at which the host's resolver answers: it exists before the first container does.
    # On the loopback link, so that the operator does not take the range for a network that something else uses.
    systemd.network.networks."10-berth-resolver" = {
      matchConfig.Name = "lo";
      address = [ "${cfg.resolverAddress}/32" ];
      linkConfig.RequiredForOnline = false;
    };
    services.resolved = {
      enable = true;
      settings.Resolve = {
        DNSStubListenerExtra = [ cfg.resolverAddress ];
        # Multicast names of the LAN are nothing that a container should be able to ask for.
        LLMNR = false;
        MulticastDNS = false;
      };
    };
    networking.useNetworkd = lib.mkDefault true;
  };
}

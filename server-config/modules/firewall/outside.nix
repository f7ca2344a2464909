# What the Internet may reach: SSH always, 80 and 443 where Caddy runs.
{ config, lib, ... }:
{
  config = lib.mkIf config.berth.features.firewall {
    networking.nftables.enable = true;
    networking.firewall = {
      enable = lib.mkDefault true;
      allowedTCPPorts =
        config.services.openssh.ports
        ++ lib.optionals config.berth.features.ingress [
          80
          443
        ]
        ++ config.berth.firewall.extraTcpPorts;
      # Scanners would fill the journal.
      logRefusedConnections = lib.mkDefault false;
    };
  };
}

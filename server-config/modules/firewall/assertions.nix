{ config, lib, ... }:
let
  cfg = config.berth.firewall;
  firewall = config.networking.firewall;
  intended =
    config.services.openssh.ports
    ++ lib.optionals config.berth.features.ingress [
      80
      443
    ]
    ++ cfg.extraTcpPorts;
  stray = lib.subtractLists intended firewall.allowedTCPPorts;
in
{
  config.assertions =
    lib.optionals config.berth.features.firewall [
      {
        assertion = stray == [ ];
        message = "TCP port ${lib.concatMapStringsSep ", " toString stray} would be open to the Internet (networking.firewall.allowedTCPPorts). Close it, or list it in berth.firewall.extraTcpPorts.";
      }
      {
        assertion = firewall.allowedTCPPortRanges == [ ];
        message = "networking.firewall.allowedTCPPortRanges opens a range of ports to the Internet. List single ports in berth.firewall.extraTcpPorts.";
      }
      {
        assertion = firewall.enable;
        message = "networking.firewall.enable is false although berth.features.firewall is true. Remove one of the two.";
      }
    ]
    ++ [
      {
        assertion = config.berth.features.previewContainers -> config.berth.features.firewall;
        message = "berth.features.previewContainers needs berth.features.firewall: without its rules a container could reach the host, its neighbours and your LAN.";
      }
    ];
}

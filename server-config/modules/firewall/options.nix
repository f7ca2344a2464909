{ lib, ... }:
let
  inherit (lib) mkOption types;
in
{
  options.berth.firewall = {
    extraTcpPorts = mkOption {
      type = types.listOf types.port;
      default = [ ];
      description = ''
        TCP ports open to the Internet besides SSH, 80 and 443. Any other port that some module opens is
        refused when the host is built, so that nothing opens unnoticed.
      '';
    };

    deniedAddresses = mkOption {
      type = types.listOf (types.strMatching "[0-9.]+(/[0-9]{1,2})?");
      default = [ ];
      example = [ "203.0.113.7" ];
      description = "Public IPv4 addresses that containers may not reach although they are on the Internet: your other servers.";
    };

    routedFrom = mkOption {
      type = types.listOf (types.strMatching "[A-Za-z0-9][A-Za-z0-9._-]{0,14}");
      default = [ ];
      example = [ "wg-berth" ];
      description = "Interfaces from which the ingress host of a fleet may reach containers on this host.";
    };
  };
}

{ lib, ... }:
let
  inherit (lib) mkOption types;
  fileOnHost = import ../../file-on-host.nix { inherit lib; };
  octet = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
  ipv4 = "(${octet}\\.){3}${octet}";
  address = types.strMatching ipv4;
  range = types.strMatching "${ipv4}/([12]?[0-9]|3[0-2])";
in
{
  options.berth.mesh = {
    interface = mkOption {
      type = types.str;
      readOnly = true;
      default = "wg-berth";
      description = "Name of the WireGuard interface.";
    };
    address = mkOption {
      type = types.nullOr address;
      default = null;
      example = "10.99.0.1";
      description = "This host's address in the mesh.";
    };
    port = mkOption {
      type = types.port;
      default = 51820;
      description = "UDP port at which the other hosts reach this one.";
    };
    privateKeyFile = fileOnHost "File with this host's private key (`wg genkey`).";
    tcpPorts = mkOption {
      type = types.listOf types.port;
      default = [ ];
      example = [ 5432 ];
      description = "TCP ports of this host that the other hosts may reach through the mesh, besides its containers.";
    };
    peers = mkOption {
      default = { };
      description = "The other hosts of the fleet, by name.";
      type = types.attrsOf (
        types.submodule {
          options = {
            publicKey = mkOption {
              type = types.strMatching "[A-Za-z0-9+/]{43}=";
              description = "Its public key (`wg pubkey`).";
            };
            endpoint = mkOption {
              type = types.strMatching "([A-Za-z0-9.-]+|[[][0-9a-f:]+[]]):[0-9]{1,5}";
              example = "203.0.113.11:51820";
              description = "Where it is reached.";
            };
            address = mkOption {
              type = address;
              example = "10.99.0.2";
              description = "Its address in the mesh.";
            };
            containerRange = mkOption {
              type = types.nullOr range;
              default = null;
              example = "10.102.0.0/16";
              description = "Addresses of its containers; each host of a fleet has a range of its own.";
            };
          };
        }
      );
    };
  };
}

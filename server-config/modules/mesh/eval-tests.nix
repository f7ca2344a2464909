{ lib, ... }:
let
  key = letter: "${lib.concatStrings (lib.genList (_: letter) 43)}=";
  peer = {
    publicKey = key "A";
    endpoint = "203.0.113.11:51820";
    address = "10.99.0.2";
    containerRange = "10.102.0.0/16";
  };
  host = {
    services.openssh.enable = true;
    networking.useNetworkd = true;
    berth.features.mesh = true;
    berth.mesh = {
      address = lib.mkDefault "10.99.0.1";
      privateKeyFile = "/var/secrets/mesh-key";
      peers.worker-1 = peer;
    };
  };
in
{
  "a peer is reached with its own addresses and nobody else's" = {
    modules = [ host ];
    shows = config: {
      netdev = {
        actual = config.systemd.network.units."30-wg-berth.netdev".text;
        contains = [
          "Kind=wireguard"
          "AllowedIPs=10.99.0.2/32\nAllowedIPs=10.102.0.0/16"
          "PrivateKeyFile=/run/credentials/systemd-networkd.service/berth-mesh-key"
        ];
      };
      network = {
        actual = config.systemd.network.units."30-wg-berth.network".text;
        contains = [
          "Address=10.99.0.1/32"
          "Destination=10.102.0.0/16"
        ];
      };
      key = {
        actual = config.systemd.services.systemd-networkd.serviceConfig.LoadCredential;
        equals = [ "berth-mesh-key:/var/secrets/mesh-key" ];
      };
      "UDP is open, TCP is not" = {
        actual = [
          config.networking.firewall.allowedUDPPorts
          config.networking.firewall.interfaces.wg-berth.allowedTCPPorts
        ];
        equals = [
          [ 51820 ]
          [ ]
        ];
      };
      routed = {
        actual = config.berth.firewall.routedFrom;
        equals = [ "wg-berth" ];
      };
    };
  };
  "no key" = {
    modules = [
      host
      { berth.mesh.privateKeyFile = lib.mkForce null; }
    ];
    refused = "berth.mesh needs an address and a privateKeyFile";
  };
  "an address twice" = {
    modules = [
      host
      { berth.mesh.address = "10.99.0.2"; }
    ];
    refused = "one address stands twice";
  };
  "a key twice" = {
    modules = [
      host
      {
        berth.mesh.peers.worker-2 = peer // {
          address = "10.99.0.3";
          containerRange = "10.102.0.0/16";
        };
      }
    ];
    refused = "two hosts have the same publicKey";
  };
  "overlapping containers" = {
    modules = [
      host
      { berth.mesh.peers.worker-1.containerRange = lib.mkForce "10.100.128.0/17"; }
    ];
    refused = "the containers of this host and worker-1 have overlapping addresses";
  };
  "an address among the containers" = {
    modules = [
      host
      { berth.mesh.address = "10.100.0.9"; }
    ];
    refused = "10.100.0.9 lies in a range of containers";
  };
  "an endpoint without a port" = {
    modules = [
      host
      { berth.mesh.peers.worker-1.endpoint = lib.mkForce "203.0.113.11"; }
    ];
    throws = "berth.mesh.peers.worker-1.endpoint";
  };
}

# WireGuard between the hosts of a fleet: each reaches the others' containers, and nothing else of them but what is listed.
{ config, lib, ... }:
let
  cfg = config.berth.mesh;
  peers = lib.attrValues cfg.peers;
  reachedThrough = peer: [ "${peer.address}/32" ] ++ lib.optional (peer.containerRange != null) peer.containerRange;
in
{
  config = lib.mkIf (config.berth.features.mesh && cfg.address != null && cfg.privateKeyFile != null) {
    systemd.network = {
      enable = true;
      netdevs."30-${cfg.interface}" = {
        netdevConfig = {
          Kind = "wireguard";
          Name = cfg.interface;
        };
        wireguardConfig = {
          # networkd runs without rights to read the file; systemd hands it a copy.
          PrivateKeyFile = "/run/credentials/systemd-networkd.service/berth-mesh-key";
          ListenPort = cfg.port;
        };
        wireguardPeers = map (peer: {
          PublicKey = peer.publicKey;
          Endpoint = peer.endpoint;
          # What may come from it, and what is sent to it: its own address and its containers'.
          AllowedIPs = reachedThrough peer;
          PersistentKeepalive = 25;
        }) peers;
      };
      networks."30-${cfg.interface}" = {
        matchConfig.Name = cfg.interface;
        address = [ "${cfg.address}/32" ];
        routes = map (destination: {
          Destination = destination;
          Scope = "link";
        }) (lib.concatMap reachedThrough peers);
        linkConfig.RequiredForOnline = false;
      };
    };
    systemd.services.systemd-networkd.serviceConfig.LoadCredential = [
      "berth-mesh-key:${toString cfg.privateKeyFile}"
    ];

    networking.firewall.allowedUDPPorts = [ cfg.port ];
    networking.firewall.interfaces.${cfg.interface}.allowedTCPPorts = cfg.tcpPorts;
    # A fleet's ingress host reaches this host's containers through the mesh.
    berth.firewall.routedFrom = [ cfg.interface ];
  };
}

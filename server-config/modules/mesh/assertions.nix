{ config, lib, ... }:
let
  cfg = config.berth.mesh;
  ipv4 = import ../../ipv4.nix { inherit lib; };
  peers = lib.attrValues cfg.peers;
  own = "this host";

  addresses = lib.optional (cfg.address != null) cfg.address ++ map (peer: peer.address) peers;
  keys = map (peer: peer.publicKey) peers;
  ranges = {
    ${own} = config.berth.containerRange;
  }
  // lib.filterAttrs (_: range: range != null) (lib.mapAttrs (_: peer: peer.containerRange) cfg.peers);
  names = lib.attrNames ranges;
  clashing = lib.filter (name: lib.any (other: other != name && ipv4.overlap ranges.${name} ranges.${other}) names) names;
  inContainers = lib.filter (address: lib.any (range: ipv4.overlap "${address}/32" range) (lib.attrValues ranges)) addresses;
in
{
  config.assertions = lib.mkIf config.berth.features.mesh [
    {
      assertion = cfg.address != null && cfg.privateKeyFile != null;
      message = "berth.mesh needs an address and a privateKeyFile: this host would have no place in the mesh.";
    }
    {
      assertion = lib.allUnique addresses;
      message = "berth.mesh: one address stands twice among ${lib.concatStringsSep ", " addresses}. Each host needs its own.";
    }
    {
      assertion = lib.allUnique keys;
      message = "berth.mesh.peers: two hosts have the same publicKey. WireGuard would send to one of them only.";
    }
    {
      assertion = clashing == [ ];
      message = "berth.mesh: the containers of ${lib.concatStringsSep " and " clashing} have overlapping addresses. Give each host its own berth.containerRange.";
    }
    {
      assertion = clashing != [ ] || inContainers == [ ];
      message = "berth.mesh: ${lib.concatStringsSep ", " inContainers} lies in a range of containers. Choose addresses outside of all of them.";
    }
  ];
}

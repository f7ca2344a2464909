# The interface to the Internet, found by its hardware address and named uplink0, whatever the kernel would call it:
# its name in the rescue system says nothing about its name afterwards.
network:
{ lib, ... }:
let
  uplink = import ./uplink-network.nix { inherit lib network; };
in
{
  networking.useNetworkd = true;
  networking.useDHCP = lib.mkForce false;
  networking.nameservers = network.nameservers;
  systemd.network = {
    enable = true;
    inherit (uplink) links networks;
  };
}

# The passphrase of an encrypted disk, asked for over SSH before the system starts: `ssh -p 2222 root@<address>`.
host:
{ config, lib, ... }:
let
  uplink = import ./uplink-network.nix {
    inherit lib;
    inherit (host) network;
  };
in
{
  boot.initrd = {
    systemd = {
      enable = true;
      network = {
        enable = true;
        inherit (uplink) links networks;
      };
      # The one thing that this login is for.
      users.root.shell = "/bin/systemd-tty-ask-password-agent";
    };
    # The drivers of the network cards in the machines that Hetzner rents out.
    availableKernelModules = [
      "e1000e"
      "igb"
      "igc"
      "ixgbe"
      "r8169"
      "virtio_net"
    ];
    network.ssh = {
      enable = true;
      # Another port and another key than the system's own: the initrd's key lies unencrypted on the boot partition.
      port = 2222;
      hostKeys = [ "/etc/secrets/initrd/ssh_host_ed25519_key" ];
      authorizedKeys = config.berth.adminKeys;
    };
  };
}

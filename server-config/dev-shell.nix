# `nix develop`: what one needs to work on Berth and its hosts.
{ pkgs }:
{
  default = pkgs.mkShellNoCC {
    packages = [
      pkgs.nodejs_24
      pkgs.postgresql
      pkgs.caddy
      pkgs.nftables
      pkgs.age
      pkgs.restic
      pkgs.nixos-anywhere
    ];
  };
}

# The system of every agent container: { nixpkgs, system } → a NixOS configuration.
{ nixpkgs, system }:
import "${nixpkgs}/nixos/lib/eval-config.nix" {
  inherit system;
  modules = [
    ./base.nix
    ./agent.nix
  ];
}

# A guest's system from data: { nixpkgs, system, manifest } → a NixOS configuration.
{
  nixpkgs,
  system,
  manifest,
}:
import (nixpkgs + "/nixos/lib/eval-config.nix") {
  inherit system;
  modules = [
    ./base.nix
    ./manifest.nix
    { guest.manifest = manifest; }
  ];
}

{
  description = "Systems of Berth's containers, made from data: manifest.json beside this file";

  # The lock file of this folder is part of the key under which a closure is kept.
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

  outputs =
    { nixpkgs, ... }:
    let
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      toplevelOf = guest: guest.config.system.build.toplevel;
      packagesFor = system: {
        # The operator builds from a copy of this folder in which manifest.json is the app's.
        system = toplevelOf (
          import ./system.nix {
            inherit nixpkgs system;
            manifest = nixpkgs.lib.importJSON ./manifest.json;
          }
        );
        agent = toplevelOf (import ./agent-system.nix { inherit nixpkgs system; });
      };
    in
    {
      packages = nixpkgs.lib.genAttrs systems packagesFor;
    };
}

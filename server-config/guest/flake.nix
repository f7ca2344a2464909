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
      # preview-config.nix lies beside this file only in the copy that is evaluated.
      ownSystem =
        system:
        import (nixpkgs + "/nixos/lib/eval-config.nix") {
          inherit system;
          modules = [
            ./base.nix
            ./own-system.nix
            ./preview-config.nix
          ];
        };
      evaluationFor =
        system:
        let
          guest = ownSystem system;
        in
        {
          meta = guest.config.system.build.previewMeta;
          units = builtins.attrNames guest.config.systemd.services;
          drv = (toplevelOf guest).drvPath;
        };
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
      # What the operator asks of an app's own system (webhook/core/preview-config.ts).
      evaluation = nixpkgs.lib.genAttrs systems evaluationFor;
    };
}

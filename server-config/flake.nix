{
  description = "The hosts of Berth as code";

  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";
    disko = {
      url = "github:nix-community/disko";
      inputs.nixpkgs.follows = "nixpkgs";
    };
  };

  outputs =
    {
      self,
      nixpkgs,
      disko,
    }:
    let
      inherit (nixpkgs) lib;
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      perSystem = build: lib.genAttrs systems (system: build nixpkgs.legacyPackages.${system});
      host = import ./host.nix { inherit nixpkgs disko; };
      on = pkgs: { nixpkgs.hostPlatform = pkgs.stdenv.hostPlatform.system; };
    in
    {
      nixosModules = import ./modules // {
        default = ./modules/everything.nix;
      };
      nixosConfigurations = lib.mapAttrs (_: configuration: host [ configuration ]) (import ./hosts);
      packages = perSystem (
        pkgs:
        import ./packages {
          inherit pkgs;
          host = host [
            ./hosts/all-in-one-cloud.nix
            (on pkgs)
          ];
          imageHost = host [
            ./image-host.nix
            (on pkgs)
          ];
        }
      );
      devShells = perSystem (pkgs: import ./dev-shell.nix { inherit pkgs; });
      checks = perSystem (pkgs: import ./checks.nix { inherit self pkgs disko; });
      formatter = perSystem (pkgs: pkgs.nixfmt-tree);
    };
}

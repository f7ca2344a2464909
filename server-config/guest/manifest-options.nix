# What an app said that it needs, as far as a closure depends on it: the data of manifest.json, checked a second time.
# webhook/core/app-manifest.ts is the schema that people meet; this one only keeps a mistake of ours from becoming a unit.
{ lib, ... }:
let
  inherit (lib) mkOption types;

  # A shell line, or words that are run as they are.
  command = types.either (types.strMatching "(.|\n)+") (types.nonEmptyListOf types.str);
in
{
  options.guest.manifest = mkOption {
    description = "The build-relevant part of an app's manifest.";
    type = types.submodule {
      options = {
        packages = mkOption {
          type = types.listOf (types.strMatching "[A-Za-z0-9][A-Za-z0-9._+-]{0,63}");
          default = [ ];
          description = "Names of packages in nixpkgs; setup and services find them on PATH.";
        };
        setup = mkOption {
          default = null;
          description = "Runs once, before the services.";
          type = types.nullOr (
            types.submodule {
              options = {
                command = mkOption {
                  type = command;
                  description = "What to run.";
                };
                timeoutSeconds = mkOption {
                  type = types.ints.between 1 86400;
                  default = 1200;
                  description = "After this the setup is ended and has failed.";
                };
              };
            }
          );
        };
        services = mkOption {
          description = "The long-running processes of the app.";
          type = types.nonEmptyListOf (
            types.submodule {
              options = {
                name = mkOption {
                  type = types.strMatching "[a-z][a-z0-9-]{0,62}";
                  description = "Name of the service; its unit is app-<name>.service.";
                };
                command = mkOption {
                  type = command;
                  description = "What to run.";
                };
                port = mkOption {
                  type = types.nullOr types.port;
                  default = null;
                  description = "The port that it listens on; it finds it in PORT.";
                };
              };
            }
          );
        };
      };
    };
  };
}

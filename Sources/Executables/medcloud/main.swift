import Foundation
import OperatorCommands

exit(await MedcloudProgram.run(Array(CommandLine.arguments.dropFirst())))
